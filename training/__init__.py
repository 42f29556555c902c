"""How the demo checkpoint is made: grammar, voices, features, tokenizer, stages, evaluation."""
