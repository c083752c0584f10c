not go at all
