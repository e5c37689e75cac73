"""The page ``/dashboard``: files that a browser runs. It asks the same API as every client, with its user's rights."""
