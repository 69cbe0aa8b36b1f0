"""From a call to the plan that carries it out, and where plans are kept."""
