package objectstore

// RestoreRequest says how to restore an archived object, or what to select from it.
type RestoreRequest struct {
	Ref
	Terms
	// Days is how long the restored copy is kept.
	Days        int
	Description string
	// GlacierTier and Tier are how quick: "Expedited", "Standard", "Bulk".
	GlacierTier, Tier string
	// Type is "SELECT" to query the object; "" to restore it.
	Type string
	// Output is where the result of a query goes; nil without one.
	Output *OutputLocation
	// Select is the query; nil without one.
	Select *SelectParameters
}

// OutputLocation is where the result of a query goes.
type OutputLocation struct {
	Bucket, Prefix string
}

// SelectParameters are a query over the content of an object.
type SelectParameters struct {
	Expression, ExpressionType string
	// InputCSV or InputJSON ("DOCUMENT", "LINES") say how to read it.
	InputCSV  *CSVInput
	InputJSON string
	// Compression is "NONE", "GZIP" or "BZIP2".
	Compression string
	// OutputCSV or OutputJSON (the text between values) say how to write the result.
	OutputCSV  *CSVOutput
	OutputJSON string
}

// CSVInput says how CSV is to be read.
type CSVInput struct {
	AllowQuotedRecordDelimiter bool
	Comments                   string
	FieldDelimiter             string
	FileHeaderInfo             string
	QuoteCharacter             string
	QuoteEscapeCharacter       string
	RecordDelimiter            string
}

// CSVOutput says how CSV is to be written.
type CSVOutput struct {
	FieldDelimiter, QuoteCharacter, QuoteEscapeCharacter, QuoteFields, RecordDelimiter string
}

// RestoreResult says that the restoring has begun.
type RestoreResult struct {
	RequestCharged string
	// OutputPath is where the result of a query will be.
	OutputPath string
	Metadata   map[string]string
}
