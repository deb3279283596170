"""What benchmarks are mounted on: receiver, clients, product, figures."""
