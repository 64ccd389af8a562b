"""The pages: each is one function from a study's state to widgets."""
