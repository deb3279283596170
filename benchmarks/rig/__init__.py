"""What the benchmarks of deliveries are mounted on: receiver, clients, product, figures."""
