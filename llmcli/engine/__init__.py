"""Floor 2: prompt ids in, a stream of Steps out. It prints nothing and parses no options."""
