"""What people leave behind, read into Tocsin's configuration: a file for each, a pure function from text."""
