"""How it evolves: features and exposure to posterior states."""
