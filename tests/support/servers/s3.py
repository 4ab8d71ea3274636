"""What tests ask of a real S3 server beside the program: buckets, and what is unfinished in them.

usage: s3.py bucket NAME | versioned NAME | shared NAME USER | uploads NAME   (endpoint and keys as in AWS_*)
"""

import json
import os
import sys

import boto3
from botocore.config import Config

action, name, *more = sys.argv[1:]
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=Config(s3={"addressing_style": "path"}))
if action == "uploads":
    print(len(client.list_multipart_uploads(Bucket=name).get("Uploads", [])))
else:
    client.create_bucket(Bucket=name)
if action == "versioned":
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
if action == "shared":
    allow = {"Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam:::user/{more[0]}"]}, "Action": "s3:*"}
    allow["Resource"] = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
