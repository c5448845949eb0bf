"""What a browser may do with the page: nothing but show it and run the one script that it came with."""

import base64
import hashlib

# Attributes have no hash; a style in one can fetch nothing, since nothing may be fetched.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; style-src-elem {style}; script-src {script}; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def content_policy(style: str, script: str) -> str:
    """The Content-Security-Policy of a page whose one style element and one script are these, to the byte."""
    return _POLICY.format(style=_source_hash(style), script=_source_hash(script))


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
