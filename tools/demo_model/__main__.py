"""``python -m irsql.tools.demo_model``: train the demo model and write its Hugging Face folder."""

from __future__ import annotations

from irsql.tools.demo_model.train import main

if __name__ == "__main__":
    main()
