"""What the registry's calls cost, beside MLflow's."""
