"""What is read out of a path."""

import pytest

from lipstream.server.paths import model_and_action, usual_path


@pytest.mark.parametrize(
    ("given", "model", "action"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", "generateContent"),
        ("/v1/models/a/b:countTokens", "a/b", "countTokens"),
        ("/v1beta1/models/x:y", "x", "y"),
        ("/v1alpha/models/x:y", "x", "y"),
        ("/v1beta/models/fast:m!slow:m:generateContent", "fast:m!slow:m", "generateContent"),
        ("/v1beta/models/openrouter:a/b:free:generateContent", "openrouter:a/b:free",
         "generateContent"),
        ("/v1beta/tunedModels/mine:generateContent", "tunedModels/mine", "generateContent"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", "g",
         "generateContent"),
        ("/v1beta1/publishers/google/models/g:generateContent", "g", "generateContent"),
        ("/v1beta/models/gemini-2.5-pro", "", ""),
        ("/v1beta/models/x:not-a-word", "", ""),
        ("/v1/chat/completions", "", ""),
        ("/v2/models/x:y", "", ""),
    ],
)  # fmt: skip
def test_model_and_action_are_taken_from_a_path(given: str, model: str, action: str) -> None:
    """The action stands after the last colon; the model keeps its own slashes and colons."""
    assert (model, action) == model_and_action(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("/v1beta/v1beta/models/x:y", "/v1beta/models/x:y"),
        ("/v1/v1beta/models/x:y", "/v1beta/models/x:y"),
        ("/v1beta/v1/models", "/v1/models"),
        ("/v1beta1/v1beta/models/", "/v1beta/models"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1", "/v1"),
        ("/v1beta", "/v1beta"),
        ("", "/"),
    ],
)
def test_doubled_version_is_one_version(given: str, meant: str) -> None:
    """The last version counts: it is the one that the client itself adds."""
    assert meant == usual_path(given)
