"""The line: intake, deliver, sweep. Each reads rows, decides, and writes rows in one transaction; they meet in the store."""
