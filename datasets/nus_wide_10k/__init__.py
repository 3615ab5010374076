"""NUS-WIDE-10k, which the builder of nus_wide makes: 1,000 items of each class."""
