"""Reading graphs from other tools and bringing them into normal form."""
