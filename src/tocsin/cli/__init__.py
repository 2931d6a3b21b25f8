"""The shell door: a file per command. What a command needs is imported when it runs, so that --help is quick."""
