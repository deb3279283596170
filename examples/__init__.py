"""Applications that use Daybook as anybody could: nothing of ours names them."""
