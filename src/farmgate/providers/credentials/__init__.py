"""How Farmgate proves to a cloud who it is: a key, or better a short-lived token nobody has to keep."""

from farmgate.providers.credentials.aws import aws_credential, aws_region
from farmgate.providers.credentials.azure import azure_credential
from farmgate.providers.credentials.credential import Credential, CredentialError, GoogleCredential
from farmgate.providers.credentials.google import google_credential

__all__ = [
    "Credential",
    "CredentialError",
    "GoogleCredential",
    "aws_credential",
    "aws_region",
    "azure_credential",
    "google_credential",
]
