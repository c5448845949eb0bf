"""What was made here, on the Hugging Face Hub: which files, checked against their records, and the way there."""
