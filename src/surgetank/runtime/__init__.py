"""What runs the services: real adapters, virtual ones, the configuration and the assembly."""
