"""Write the reference pages of docs/ from the schema and from the members of each family."""
