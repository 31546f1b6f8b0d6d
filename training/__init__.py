"""Scripts that make what the package ships as data. Nothing here is installed with it."""
