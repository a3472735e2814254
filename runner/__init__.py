"""What runs the chapters: the environment, execution, stamps and the README's table."""
