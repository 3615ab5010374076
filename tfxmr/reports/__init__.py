"""What runs come to, for people to look at: tables and figures."""
