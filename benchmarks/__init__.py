"""What Tocsin costs, beside what the simplest program of the same durability costs in the same run: `make bench`."""
