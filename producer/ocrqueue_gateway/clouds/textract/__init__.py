"""AWS Textract's reading of text, as its own clients ask for it: DetectDocumentText, StartDocumentTextDetection and
GetDocumentTextDetection over JSON 1.1, signed. A JobId is the id of a job."""
