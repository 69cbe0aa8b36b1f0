"""The lesson: questions whose answers are what the calculators print."""
