"""What runs inside the hub: spawners that prepare and save, the login, the page that starts servers."""
