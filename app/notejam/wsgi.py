"""What gunicorn serves: `notejam.wsgi:app`."""

import os

from notejam import create_app
from notejam.config import load_for_serving

app = create_app(load_for_serving(os.environ))
