package gen

import (
	"encoding/binary"
	"strconv"
)

// numbers are the texts of 0 to n-1.
func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

// dictionary is a list of texts as Parquet's PLAIN encoding lays them out: each one behind its
// length of four bytes, little-endian. A page is filled from it by copying.
type dictionary struct {
	plain []byte
	ends  []uint32 // entry i is plain[ends[i]:ends[i+1]]
}

func newDictionary(texts []string) dictionary {
	d := dictionary{ends: make([]uint32, 1, len(texts)+1)}
	for _, s := range texts {
		d.plain = appendPlain(d.plain, s)
		d.ends = append(d.ends, uint32(len(d.plain)))
	}
	return d
}

func appendPlain(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func (d *dictionary) size() int { return len(d.ends) - 1 }

// entry is text i with its length.
func (d *dictionary) entry(i uint32) []byte { return d.plain[d.ends[i]:d.ends[i+1]] }

// Sizes and exponents of the vocabulary. With 500 types the exponent 1.2 gives the top one 24 % of
// the rows and the last one 1 in 7,300.
const (
	numDevices, deviceSkew     = 100_000, 0.9
	numAgents, agentSkew       = 20_000, 0.8
	numCampaigns, campaignSkew = 200, 0.7
	numVersions, versionSkew   = 40, 1.0
	typeSkew, countrySkew      = 1.2, 1.0
)

// vocabulary is every text that comes from a list, and how often each one is drawn. It is made once,
// and only read after that.
type vocabulary struct {
	types, devices, agents, countries, platforms, versions, campaigns weighted
	tags                                                              dictionary // uniform
}

// weighted is a dictionary with the distribution that it is drawn from.
type weighted struct {
	dictionary
	sampler
}

func newVocabulary(numTypes int, seed uint64) *vocabulary {
	var rnd random
	rnd.seed(seed, 0, 0, vocabularyStream)
	versions := make([]string, numVersions)
	for i := range versions {
		versions[i] = "v" + strconv.Itoa(5-i/10) + "." + strconv.Itoa(i%10) + ".0"
	}
	campaigns := make([]string, numCampaigns)
	for i := range campaigns {
		campaigns[i] = "campaign-" + strconv.Itoa(i)
	}
	zipf := func(texts []string, skew float64) weighted {
		return weighted{newDictionary(texts), newZipf(len(texts), skew)}
	}
	return &vocabulary{
		types:     zipf(typeNames(numTypes), typeSkew),
		devices:   zipf(deviceNames(&rnd), deviceSkew),
		agents:    zipf(agentNames(&rnd), agentSkew),
		countries: zipf(countries, countrySkew),
		versions:  zipf(versions, versionSkew),
		campaigns: zipf(campaigns, campaignSkew),
		tags:      newDictionary(words),
		platforms: weighted{newDictionary(platforms), newSampler([]float64{55, 28, 12, 4, 1})},
	}
}

// typeNames are n event names, the most frequent first. The first is appOpen and, where there is
// more than one, the last and rarest is purchase.
func typeNames(n int) []string {
	names := make([]string, 0, n)
	names = append(names, commonTypes[:min(n, len(commonTypes))]...)
	for i := 0; len(names) < n; i++ {
		name := objects[i%len(objects)] + verbs[i/len(objects)%len(verbs)]
		if round := i / (len(objects) * len(verbs)); round > 0 {
			name += "V" + strconv.Itoa(round+1)
		}
		names = append(names, name)
	}
	if n > 1 {
		names[n-1] = rarestType
	}
	return names
}

// deviceNames are distinct: what is written in each is a bijection of its index on 48 bits.
func deviceNames(rnd *random) []string {
	const mask = 1<<48 - 1
	first := rnd.uint64()
	names := make([]string, numDevices)
	var digits [16]byte
	for i := range names {
		x := (first + uint64(i)) & mask
		x = (x ^ x>>25) * 0x9e3779b97f4b & mask
		x = (x ^ x>>23) * 0x94d049bb1331 & mask
		putHex(digits[:], x^x>>24)
		names[i] = "dev-" + string(digits[4:])
	}
	return names
}

func agentNames(rnd *random) []string {
	names := make([]string, numAgents)
	number := func(from, n int) string { return strconv.Itoa(from + int(below32(rnd.uint64(), 0, uint64(n)))) }
	for i := range names {
		model := string(rune('A'+below32(rnd.uint64(), 0, 26))) + number(100, 900)
		names[i] = "Mozilla/5.0 (Linux; Android " + number(8, 8) + "; SM-" + model +
			") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" +
			number(80, 60) + ".0." + number(1000, 7000) + "." + number(10, 200) + " Mobile Safari/537.36"
	}
	return names
}

// rarestType is the event of which a landing set of one day holds the fewest.
const rarestType = "purchase"

var (
	commonTypes = []string{
		"appOpen", "screenView", "heartbeat", "sessionStart", "sessionEnd", "appClose", "login",
		"logout", "search", "scroll", "signUp", "pushReceived", "pushOpened", "crash", "apiError",
		"adImpression", "adClick", "firstOpen", "appUpdate", "permissionGranted",
	}
	objects = []string{
		"page", "item", "cart", "video", "banner", "list", "form", "user", "order", "photo",
		"message", "profile", "offer", "review", "coupon", "map", "playlist", "story", "filter", "menu",
	}
	verbs = []string{
		"View", "Click", "Share", "Save", "Load", "Open", "Close", "Edit", "Remove", "Create",
		"Like", "Rate", "Swipe", "Submit", "Cancel", "Retry", "Expand", "Hide", "Pin", "Report",
		"Export", "Copy", "Move", "Refresh", "Select",
	}
	platforms = []string{"android", "ios", "web", "tv", "embedded"}
	countries = []string{
		"US", "IN", "BR", "ID", "GB", "DE", "MX", "FR", "JP", "PH", "TR", "VN", "IT", "ES", "RU",
		"KR", "CA", "TH", "PL", "AR", "CO", "EG", "AU", "NL", "SA", "MY", "ZA", "NG", "PK", "BD",
		"UA", "PE", "CL", "RO", "SE", "BE", "AE", "CZ", "PT", "GR", "CH", "AT", "HU", "IL", "DK",
		"NO", "FI", "IE", "SG", "HK", "TW", "NZ", "KE", "MA", "EC", "SK", "BG", "RS", "HR", "LK",
	}
	words = []string{
		"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet",
		"kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
		"uniform", "victor", "whiskey", "xray", "yankee", "zulu",
	}
)
