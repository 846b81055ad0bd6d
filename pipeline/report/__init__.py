"""Events and results to text, markdown, JSON and GitHub commands: pure."""
