package parquet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/model"
)

// EncodeSchema writes a schema and key-value metadata as a Parquet footer without row groups
// (Thrift FileMetaData, compact protocol): the form of model.JobConf.InputSchema.
func EncodeSchema(sc *schema.Schema, kv metadata.KeyValueMetadata) (_ []byte, err error) {
	defer recoverInto(&err, "encoding the schema")
	md, err := metadata.NewFileMetadataBuilder(sc, nil, kv).Finish()
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	return md.Serialize(context.Background())
}

// DecodeSchema reads what EncodeSchema wrote. The bytes are checked like those of a file.
func DecodeSchema(b []byte) (*schema.Schema, metadata.KeyValueMetadata, error) {
	if len(b) > MaxFooterBytes {
		return nil, nil, model.Failf(model.ReasonInternal, "a schema of %d bytes is above the limit of %d", len(b), MaxFooterBytes)
	}
	md, err := parseFooter(b)
	if err == nil {
		err = checkSchema(md.Schema)
	}
	if err != nil {
		return nil, nil, model.Failf(model.ReasonInternal, "decoding the job's schema: %w", err)
	}
	return md.Schema, md.KeyValueMetadata(), nil
}

// Project returns the schema without the top-level columns in drop, and for each of its leaves the
// ordinal of that leaf in sc. What stays is node for node the same: types, repetition, names and
// field ids. The new schema shares no node with sc. A name that does not exist, and dropping
// everything, is a *model.Failure of ReasonUser.
func Project(sc *schema.Schema, drop []string) (out *schema.Schema, leaves []int, err error) {
	defer recoverInto(&err, "projecting the schema")
	for _, name := range drop {
		if sc.Root().FieldIndexByName(name) < 0 {
			return nil, nil, model.Failf(model.ReasonUser, "there is no top-level column %q; the columns are %s", name, columnNames(sc))
		}
	}
	// Nodes know their parent, so a node of sc cannot be used in another tree: work on a copy.
	b, err := EncodeSchema(sc, nil)
	if err != nil {
		return nil, nil, err
	}
	twin, _, err := DecodeSchema(b)
	if err != nil {
		return nil, nil, err
	}
	root := twin.Root()
	var keep schema.FieldList
	for i := range root.NumFields() {
		if !slices.Contains(drop, root.Field(i).Name()) {
			keep = append(keep, root.Field(i))
		}
	}
	if len(keep) == 0 {
		return nil, nil, model.Failf(model.ReasonUser, "no column is left beside %s; at least one must stay in the files", strings.Join(drop, ", "))
	}
	for i := range sc.NumColumns() {
		if !slices.Contains(drop, sc.ColumnRoot(i).Name()) {
			leaves = append(leaves, i)
		}
	}
	group, err := schema.NewGroupNode(root.Name(), root.RepetitionType(), keep, root.FieldID())
	if err != nil {
		return nil, nil, fmt.Errorf("projecting the schema: %w", err)
	}
	out = schema.NewSchema(group)
	if out.NumColumns() != len(leaves) {
		return nil, nil, errors.New("projecting the schema: leaves were lost")
	}
	return out, leaves, nil
}

func columnNames(sc *schema.Schema) string {
	root := sc.Root()
	names := make([]string, root.NumFields())
	for i := range names {
		names[i] = root.Field(i).Name()
	}
	return strings.Join(names, ", ")
}

// Keys of the metadata that describe all columns, each in the form of one writer.
const (
	keyArrowSchema = "ARROW:schema"
	keySparkRow    = "org.apache.spark.sql.parquet.row.metadata"
	keyPandas      = "pandas"
)

// OutputKeyValue returns the key-value metadata that belongs to the output. When columns were
// dropped, descriptions of all columns would be wrong and are left out; readers work without them.
func OutputKeyValue(kv metadata.KeyValueMetadata, dropped bool) metadata.KeyValueMetadata {
	out := make(metadata.KeyValueMetadata, 0, len(kv))
	for _, e := range kv {
		if dropped && (e.Key == keyArrowSchema || e.Key == keySparkRow || e.Key == keyPandas) {
			continue
		}
		out = append(out, e)
	}
	return out
}
