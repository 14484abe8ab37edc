"""Pages for people: the same answers as the API's, as HTML without scripts."""
