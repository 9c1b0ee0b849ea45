"""Files that `zoo` writes for its users, with the words `example-plugin` to be replaced."""
