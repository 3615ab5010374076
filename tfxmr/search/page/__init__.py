"""What was found, as a person looks at it: the page of `tfxmr search --web`, and a contact sheet in one HTML file."""
