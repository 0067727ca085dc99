"""Every certificate on this host: joined from files, configurations and ports, and who renews it."""
