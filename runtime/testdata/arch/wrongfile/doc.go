package wrongfile
