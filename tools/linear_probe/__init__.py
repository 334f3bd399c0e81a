"""The linear probe on Java-SED: features, leave one actor out, the weights that are kept."""
