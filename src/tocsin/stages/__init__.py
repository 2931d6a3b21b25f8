"""The line: intake, deliver, sweep. Each reads rows, decides, and writes rows; they meet in the store."""
