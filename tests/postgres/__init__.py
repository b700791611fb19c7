"""What only a database server shows: several writers, several services, outages."""
