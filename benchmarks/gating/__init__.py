"""What gating costs: a dynamic network against its routes as static networks, beside what else one might try."""
