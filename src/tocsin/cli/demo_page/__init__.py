"""What `tocsin demo` shows: a sample pipeline's story, the receivers at the other end, and the page that they fill."""
