"""The Pascal Sentence dataset of Rashtchian et al. (2010)."""
