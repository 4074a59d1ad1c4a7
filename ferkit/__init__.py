"""What components, the command and notebooks share. Imports neither kfp nor click."""
