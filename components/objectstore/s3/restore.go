package s3

import (
	"strconv"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// restoreBody is the body of a request to restore; tier is the name of the
// element around how quick it shall be.
func restoreBody(req *objectstore.RestoreRequest, tier string) element {
	days := ""
	if req.Days > 0 {
		days = strconv.Itoa(req.Days)
	}
	inside := []element{
		text("Days", days), group(tier, text("Tier", req.GlacierTier)), text("Type", req.Type), text("Tier", req.Tier), text("Description", req.Description),
	}
	if s := req.Select; s != nil {
		inside = append(inside, group("SelectParameters",
			group("InputSerialization", text("CompressionType", s.Compression), csvInput(s.InputCSV), group("JSON", text("Type", s.InputJSON))),
			text("ExpressionType", s.ExpressionType), text("Expression", s.Expression),
			group("OutputSerialization", csvOutput(s.OutputCSV), group("JSON", text("RecordDelimiter", s.OutputJSON)))))
	}
	if o := req.Output; o != nil {
		inside = append(inside, group("OutputLocation", group("S3", text("BucketName", o.Bucket), text("Prefix", o.Prefix))))
	}
	return group("RestoreRequest", inside...)
}

func csvInput(c *objectstore.CSVInput) element {
	if c == nil {
		return element{}
	}
	allow := ""
	if c.AllowQuotedRecordDelimiter {
		allow = "true"
	}
	return group("CSV", text("FileHeaderInfo", c.FileHeaderInfo), text("Comments", c.Comments), text("QuoteEscapeCharacter", c.QuoteEscapeCharacter),
		text("RecordDelimiter", c.RecordDelimiter), text("FieldDelimiter", c.FieldDelimiter), text("QuoteCharacter", c.QuoteCharacter),
		text("AllowQuotedRecordDelimiter", allow))
}

func csvOutput(c *objectstore.CSVOutput) element {
	if c == nil {
		return element{}
	}
	return group("CSV", text("QuoteFields", c.QuoteFields), text("QuoteEscapeCharacter", c.QuoteEscapeCharacter), text("RecordDelimiter", c.RecordDelimiter),
		text("FieldDelimiter", c.FieldDelimiter), text("QuoteCharacter", c.QuoteCharacter))
}
