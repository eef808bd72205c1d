"""Where figures come from: observations judged one by one, partners' streams, kept documents."""
