"""The schema: ordered SQL files, the whole as it stands, and a small runner."""
