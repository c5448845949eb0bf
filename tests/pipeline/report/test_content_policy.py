from pipeline.report.content_policy import content_policy


def test_each_element_is_named_by_its_own_hash() -> None:
    """The hashes are those of ``printf … | openssl dgst -sha256 -binary | base64``."""
    policy = content_policy("", "alert(1)\n")
    assert "style-src-elem 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';" in policy
    assert "script-src 'sha256-MaeD7tQk/YNyd6Pm9J12ROmv0Z93QwNN4VH7v3gI+RI=';" in policy
